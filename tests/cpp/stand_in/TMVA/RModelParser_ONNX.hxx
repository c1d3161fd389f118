// Stands in for SOFIE's parser, which ROOT's wheel does not have, where sofie.cxx is tested: it writes
// the bytes that the parser would get.

#ifndef STAND_IN_RMODELPARSER_ONNX_HXX
#define STAND_IN_RMODELPARSER_ONNX_HXX

#include <fstream>
#include <istream>
#include <iterator>
#include <string>

namespace TMVA::Experimental::SOFIE {

struct RModel {
   std::string fBytes;
   void Generate() const {}
   void OutputGenerated(const std::string &path) const { std::ofstream(path, std::ios::binary) << fBytes; }
};
struct RModelParser_ONNX {
   RModel Parse(std::istream &input, const std::string &) const
   {
      return {{std::istreambuf_iterator<char>(input), {}}};
   }
};

} // namespace TMVA::Experimental::SOFIE

#endif
