"""The ground floor: settings, money, time, errors and the conventions of the API. It imports no app."""
