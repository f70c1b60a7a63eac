"""The console: a page for platform teams and tenants that shows what the API tells, and only reads."""
