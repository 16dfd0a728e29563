// A shared library for the suite to load from a stub.
extern "C" __attribute__((visibility("default"))) const char* HsmAccessAnswer() {
  return "right\n";
}
