# What holds a pod's network open, and what tests of the node itself run: Debian with Python, doing nothing.
ARG BASE
FROM ${BASE}
ENTRYPOINT ["sleep", "infinity"]
