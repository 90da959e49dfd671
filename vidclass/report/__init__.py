"""What a study has found: statistics, figures and the page. Reads files, never starts Ray."""
