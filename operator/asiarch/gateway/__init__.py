"""The only service that an agent's pod can reach: hands out its order's context, takes its result, asks models for it.

Belongs here: who may ask, how much, and what is kept. May not: deciding what comes of a result, and knowing how
Kubernetes is spoken to (that is `asiarch.kube`, behind the port in `cluster`).
"""
