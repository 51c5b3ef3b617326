"""What stands between the toolkit and others: each part needs its own packages, when it is used."""
