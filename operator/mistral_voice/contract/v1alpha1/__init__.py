"""The resources of `voice.contractspec.io/v1alpha1` as Pydantic models: the one source of schema, validation and documentation."""
