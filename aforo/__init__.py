"""The ground floor: settings, money, time, errors, the API's conventions. It imports no app."""
