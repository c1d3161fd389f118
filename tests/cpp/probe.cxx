// Commands that tests/test_cpp.py gives: everything onnxroot.hxx can do, printed.

#include "onnxroot.hxx"

#include <chrono>
#include <fstream>
#include <iostream>

namespace {

using Words = std::vector<std::string>;

std::string Hash(const std::string &bytes)
{
   onnxroot::detail::Sha256 sha;
   sha.Update(bytes.data(), bytes.size());
   return sha.Hex();
}

// Names are hexadecimal: they may hold line ends and what is no UTF-8.
std::string Hex(const std::string &bytes)
{
   std::string text;
   for (const unsigned char byte : bytes)
      for (const int digit : {byte >> 4, byte & 15})
         text += "0123456789abcdef"[digit];
   return text;
}

void PrintValues(const std::vector<onnxroot::Value> &values)
{
   for (const auto &value : values) {
      std::cout << Hex(value.fName) << '|' << Hex(value.fTypeName) << '|';
      if (!value.fShape)
         std::cout << '*';
      else
         for (const auto &dim : *value.fShape)
            std::cout << (dim.fValue ? std::to_string(*dim.fValue) : Hex(dim.fName) + "?") << ',';
      std::cout << '\n';
   }
}

template <typename T>
std::string Elements(onnxroot::Model &model, const std::string &name)
{
   const auto tensor = model.GetTensor<T>(name);
   if constexpr (std::is_same_v<T, std::string>) {
      std::string texts;
      for (const auto &text : tensor.fValues)
         texts += Hex(text) + ',';
      return texts;
   } else {
      return Hash({reinterpret_cast<const char *>(tensor.fValues.data()), tensor.fValues.size() * sizeof(T)});
   }
}

std::string Elements(onnxroot::Model &model, const std::string &type, const std::string &name)
{
   using Read = std::string (*)(onnxroot::Model &, const std::string &);
   static const std::map<std::string, Read> reads = {
      {"float", Elements<float>},          {"double", Elements<double>},
      {"int8", Elements<std::int8_t>},     {"uint8", Elements<std::uint8_t>},
      {"int16", Elements<std::int16_t>},   {"uint16", Elements<std::uint16_t>},
      {"int32", Elements<std::int32_t>},   {"uint32", Elements<std::uint32_t>},
      {"int64", Elements<std::int64_t>},   {"uint64", Elements<std::uint64_t>},
      {"string", Elements<std::string>},   {"complex64", Elements<std::complex<float>>},
      {"complex128", Elements<std::complex<double>>}};
   return reads.at(type)(model, name);
}

// The C++ type for elements of an ONNX type.
std::string TypeFor(const onnxroot::TensorInfo &info)
{
   static const std::map<std::string, std::string> types = {
      {"FLOAT", "float"},     {"DOUBLE", "double"}, {"INT8", "int8"},       {"INT16", "int16"},
      {"INT32", "int32"},     {"INT64", "int64"},   {"UINT16", "uint16"},   {"FLOAT16", "uint16"},
      {"BFLOAT16", "uint16"}, {"UINT32", "uint32"}, {"UINT64", "uint64"},   {"STRING", "string"},
      {"COMPLEX64", "complex64"}, {"COMPLEX128", "complex128"}};
   const auto found = types.find(info.fTypeName);
   return found == types.end() ? "uint8" : found->second;
}

// The elements of an initializer, or that the model is malformed there.
std::string ElementsIfAny(onnxroot::Model &model, const onnxroot::TensorInfo &info)
{
   try {
      return Elements(model, TypeFor(info), info.fName);
   } catch (const onnxroot::Error &error) {
      const std::string text = error.what();
      if (text.find("the model is malformed") == std::string::npos)
         throw;
      return "malformed";
   }
}

// Name, type, shape and digest of the elements of each initializer.
void PrintTensors(onnxroot::Model &model)
{
   for (const auto &name : model.TensorNames()) {
      const auto info = model.GetTensorInfo(name);
      std::string shape;
      for (const auto dim : info.fShape)
         shape += std::to_string(dim) + ',';
      const std::string elements = ElementsIfAny(model, info);
      std::cout << Hex(name) << '|' << info.fTypeName << '|' << shape << '|' << elements << '\n';
   }
}

void PrintDigests(onnxroot::Model &model)
{
   const std::string onnx = model.Serialize();
   std::string streamed;
   model.Serialize([&](const char *data, std::size_t n) { streamed.append(data, n); }, false);
   if (streamed != onnx)
      throw std::logic_error("two ways, two results");
   std::string digests = Hash(onnx) + '\n';
   for (const auto &external : model.Manifest().fExternalFiles) {
      onnxroot::detail::Sha256 sha;
      model.SerializeExternal(external.fLocation, [&](const char *data, std::size_t n) { sha.Update(data, n); });
      digests += external.fLocation + '|' + sha.Hex() + '\n';
   }
   std::cout << digests;
}

// list FILE: the models; the other commands take FILE MODEL and arguments
// sha: SHA-256 of the ONNX file, built in memory and by stream, and of each external file
// tensors: all initializers; tensor TYPE NAME: one; io: inputs and outputs; manifest: its text
// dump: all of this
// save PATH [overwrite]; stream PATH: by std::ostream; buffer NBYTES: to memory; size: of the ONNX file
void Run(const Words &words)
{
   const std::string &command = words.at(0), &file = words.at(1);
   if (command == "list") {
      for (const auto &name : onnxroot::ListModels(file))
         std::cout << name << '\n';
      return;
   }
   onnxroot::Model model(file, words.at(2));
   const bool dump = command == "dump";
   if (command == "sha" || dump)
      PrintDigests(model);
   if (command == "tensors" || dump)
      PrintTensors(model);
   if (command == "io" || dump) {
      PrintValues(model.Inputs());
      std::cout << "--\n";
      PrintValues(model.Outputs());
   }
   if (command == "manifest" || dump)
      std::cout << model.Manifest().fText << '\n';
   if (command == "tensor") {
      std::cout << Elements(model, words.at(3), words.at(4)) << '\n';
   } else if (command == "save") {
      model.Save(words.at(3), words.size() > 4);
   } else if (command == "stream") {
      std::ofstream out(words.at(3), std::ios::binary);
      model.Serialize(out);
   } else if (command == "buffer") {
      std::string buffer(std::stoul(words.at(3)), '\0');
      model.SerializeTo(buffer.data(), buffer.size());
      std::cout << Hash(buffer) << '\n';
   } else if (command == "size") {
      std::cout << model.Serialize().size() << '\n';
   }
}

// One line of standard input is one command, its words separated by tabs; one answer each.
int RunAll()
{
   for (std::string line; std::getline(std::cin, line);) {
      Words words(1);
      for (const char c : line) {
         if (c == '\t')
            words.emplace_back();
         else
            words.back() += c;
      }
      try {
         Run(words);
         std::cout << "done" << std::endl;
      } catch (const std::exception &error) {
         const bool ours = dynamic_cast<const onnxroot::Error *>(&error);
         std::cout << (ours ? "Error " : "exception ") << error.what() << std::endl;
      }
   }
   return 0;
}

} // namespace

int main(int argc, char **argv)
{
   if (argc < 2)
      return RunAll();
   try {
      const auto start = std::chrono::steady_clock::now();
      Run(Words(argv + 1, argv + argc));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::cerr << seconds.count() << " s\n";
   } catch (const std::exception &error) {
      std::cerr << error.what() << '\n';
      return 2;
   }
}
