"""Steps that choose, merge, expand or group columns."""
