"""What requests and answers mean wherever they come from: exact JSON and pointers into it, filters by
time, and keys that make a request safe to repeat.
"""
