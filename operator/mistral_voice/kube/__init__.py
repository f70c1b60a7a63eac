"""Kubernetes beyond kopf: client, server-side apply, watches, work queue, lease, conditions, events. It knows nothing about voice."""
