"""Steps that load data, and the readers that they share."""
