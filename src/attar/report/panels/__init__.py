"""What the report shows of each part of a run, a file a part: figures to panels."""
