"""What puts dashboards and alerts into Grafana: files that it reads at its start, and ConfigMaps for its sidecar.

No dashboard and no alert is defined here. What others have made is named, and wrapped for Kubernetes as it is.
"""
