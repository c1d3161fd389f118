#include "onnxroot.hxx"
#include "onnxruntime_cxx_api.h"

#include <iostream>
#include <string>

int main(int, char **argv)
{
   onnxroot::Model model{argv[1], argv[2]};
   const std::string onnx = model.Serialize(); // checked against its SHA-256
   Ort::Env env;
   Ort::Session session{env, onnx.data(), onnx.size(), Ort::SessionOptions{}};
   std::cout << session.GetInputCount() << " inputs, " << session.GetOutputCount() << " outputs\n";
}
