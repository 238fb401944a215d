"""Steps and Tasks, one file each, grouped by what they do to the rows."""
