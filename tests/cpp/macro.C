// root -l -b -q 'macro.C("models.root", "tagger")', with onnxroot's folder in ROOT_INCLUDE_PATH

#include "onnxroot.hxx"

#include <fstream>
#include <iostream>

void macro(const char *file, const char *directory, const char *path)
{
   onnxroot::Model model{file, directory};
   model.Save(path);
   for (const auto &name : model.TensorNames())
      std::cout << name << ' ' << model.GetTensor<float>(name).fValues.size() << '\n';
   try {
      model.GetTensor<double>("hidden1.weight");
   } catch (const onnxroot::Error &error) {
      std::cout << error.what() << '\n';
   }
}
