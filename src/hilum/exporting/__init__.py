"""How an export comes about: where its rows come from, what is done to them, and its files until they are whole."""
