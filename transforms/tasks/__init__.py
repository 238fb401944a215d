"""Tasks: each file holds the prompt, the parser and the class of one."""
