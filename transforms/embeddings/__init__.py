"""Steps that make vectors of texts, or use them."""
