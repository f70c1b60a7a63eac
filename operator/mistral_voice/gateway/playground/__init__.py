"""The playground: one page on which a person talks with the integration."""
