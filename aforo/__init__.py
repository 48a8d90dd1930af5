"""What every app builds on: settings, money, time, errors, the API's rules. Imports no app."""
