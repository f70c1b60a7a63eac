"""The scripted temperament: hears, answers and speaks as a script says, to the millisecond."""
