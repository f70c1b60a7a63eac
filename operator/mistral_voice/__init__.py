"""Real-time voice agents on Mistral's models, as Kubernetes resources."""
