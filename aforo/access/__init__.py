"""Who may call: API keys, limited logins, and the keyed requests that make a POST repeatable."""
