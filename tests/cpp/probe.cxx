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

void PrintValues(const std::vector<onnxroot::Value> &values)
{
   for (const auto &value : values) {
      std::cout << value.fName << '|' << value.fElementType << '|' << value.fTypeName << '|';
      if (!value.fShape)
         std::cout << '*';
      else
         for (const auto &dim : *value.fShape)
            std::cout << (dim.fValue ? std::to_string(*dim.fValue) : dim.fName.empty() ? "?" : dim.fName) << ',';
      std::cout << '\n';
   }
}

template <typename T>
bool PrintTensor(onnxroot::Model &model, const std::string &name)
{
   const auto tensor = model.GetTensor<T>(name);
   std::cout << tensor.fElementType << '|';
   for (const auto dim : tensor.fShape)
      std::cout << dim << ',';
   const auto *const bytes = reinterpret_cast<const char *>(tensor.fValues.data());
   std::cout << '|' << Hash(std::string(bytes, tensor.fValues.size() * sizeof(T))) << '\n';
   return true;
}

bool PrintTensor(onnxroot::Model &model, const std::string &type, const std::string &name)
{
   using Print = bool (*)(onnxroot::Model &, const std::string &);
   const std::map<std::string, Print> prints = {
      {"float32", PrintTensor<float>},         {"float64", PrintTensor<double>},
      {"int8", PrintTensor<std::int8_t>},      {"uint8", PrintTensor<std::uint8_t>},
      {"int16", PrintTensor<std::int16_t>},    {"uint16", PrintTensor<std::uint16_t>},
      {"int32", PrintTensor<std::int32_t>},    {"uint32", PrintTensor<std::uint32_t>},
      {"int64", PrintTensor<std::int64_t>},    {"uint64", PrintTensor<std::uint64_t>},
      {"complex64", PrintTensor<std::complex<float>>}, {"complex128", PrintTensor<std::complex<double>>}};
   return prints.at(type)(model, name);
}

// list FILE: the models
// sha FILE MODEL: SHA-256 of the ONNX file, built in memory, by stream, and each external file
// all FILE: the same of all models
// save FILE MODEL PATH [overwrite]; tensor FILE MODEL TYPE NAME; names, io, manifest FILE MODEL
// size FILE MODEL; stream FILE MODEL PATH: by std::ostream
void Run(const Words &words)
{
   const std::string &command = words.at(0), &file = words.at(1);
   if (command == "list" || command == "all") {
      for (const auto &name : onnxroot::ListModels(file)) {
         const auto hash = command == "all" ? '|' + Hash(onnxroot::Model(file, name).Serialize()) : "";
         std::cout << name << hash << '\n';
      }
      return;
   }
   onnxroot::Model model(file, words.at(2));
   if (command == "sha") {
      const std::string onnx = model.Serialize();
      std::string streamed;
      model.Serialize([&](const char *data, std::size_t n) { streamed.append(data, n); }, false);
      if (streamed != onnx)
         throw std::logic_error("two ways, two results");
      std::cout << Hash(onnx) << '\n';
      for (const auto &external : model.Manifest().fExternalFiles) {
         onnxroot::detail::Sha256 sha;
         model.SerializeExternal(external.fLocation, [&](const char *data, std::size_t n) { sha.Update(data, n); });
         std::cout << external.fLocation << '|' << sha.Hex() << '\n';
      }
   } else if (command == "save") {
      model.Save(words.at(3), words.size() > 4);
   } else if (command == "stream") {
      std::ofstream out(words.at(3), std::ios::binary);
      model.Serialize(out);
   } else if (command == "size") {
      std::cout << model.Serialize().size() << '\n';
   } else if (command == "tensor") {
      PrintTensor(model, words.at(3), words.at(4));
   } else if (command == "names") {
      for (const auto &name : model.TensorNames())
         std::cout << name << '\n';
   } else if (command == "io") {
      PrintValues(model.Inputs());
      std::cout << "--\n";
      PrintValues(model.Outputs());
   } else if (command == "manifest") {
      std::cout << model.Manifest().fText << '\n';
   } else {
      throw std::logic_error("no command " + command);
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
