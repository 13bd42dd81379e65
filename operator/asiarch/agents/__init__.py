"""The three roles that think: researcher, engineer, analyst; each process does one order and exits."""
