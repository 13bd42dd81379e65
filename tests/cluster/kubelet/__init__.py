"""The playing kubelet: takes the pods bound to its node and plays them, with the statuses that a real kubelet writes.

`python -m tests.cluster.kubelet --help`. It shares no code with the operator; agents and trainer that it runs are the
real programs, in real child processes, told what the pod's specification tells them.
"""
