"""What requests and answers mean, at the API and below it: exact JSON and pointers into it, filters
by time, and the keys that make a request safe to repeat.
"""
