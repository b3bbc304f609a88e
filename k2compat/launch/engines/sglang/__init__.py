"""SGLang: its flags, its profile and what launch derives for it."""
