"""Steps that give rows the form that training expects, or that prompts do."""
