"""Tests on a real control plane: etcd, API server, controllers and scheduler, and a kubelet that plays its pods."""
