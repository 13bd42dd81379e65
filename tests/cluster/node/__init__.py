"""Tests on a real node: kubelet, containerd and runc run our images; needs root and Debian's packages, no registry."""
