#include "onnxroot.hxx"
#include "TMVA/RModelParser_ONNX.hxx"

#include <sstream>
#include <string>

int main(int, char **argv)
{
   onnxroot::Model model{argv[1], argv[2]};
   std::istringstream onnx{model.Serialize()};
   auto parsed = TMVA::Experimental::SOFIE::RModelParser_ONNX{}.Parse(onnx, "tagger");
   parsed.Generate();
   parsed.OutputGenerated(argv[3]); // the C++ code that evaluates the model
}
