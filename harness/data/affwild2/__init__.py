"""What only Aff-Wild2 has: its folders and their variants, its files, its special names. It makes an Index."""
