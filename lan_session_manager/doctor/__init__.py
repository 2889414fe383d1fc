"""The doctor: looks whether this machine can serve safely, changes nothing, and says what to do."""
