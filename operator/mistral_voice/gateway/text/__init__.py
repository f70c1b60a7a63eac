"""What a written reply needs before it can be spoken: clauses, and text without its markup."""
