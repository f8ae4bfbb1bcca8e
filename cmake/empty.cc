// A shared library needs a source of its own; all of its code comes from the archive that it takes
// in whole.
