"""HOW in a cluster: Kubernetes objects for the state, Jobs for the orders.

Belongs here: what knows the Kubernetes API. May not: deciding, which is
`asiarch.core`'s; and kopf is known to `handlers` alone.
"""
