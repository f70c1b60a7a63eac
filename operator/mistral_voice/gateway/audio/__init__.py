"""Samples: between the formats that clients use, and what Mistral and turn detection take."""
