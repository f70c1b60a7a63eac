"""What sessions may use and have used: pure decisions over frozen records, and the transaction that carries them out."""
