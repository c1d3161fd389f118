// Eight threads, each with models of its own: argv has file and directory.

#include "onnxroot.hxx"

#include <atomic>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

int main(int, char **argv)
{
   const std::string right = onnxroot::Model(argv[1], argv[2]).Serialize();
   std::atomic<int> equal{0}, refused{0};
   std::vector<std::thread> threads;
   for (int i = 0; i < 8; ++i)
      threads.emplace_back([&] {
         for (int j = 0; j < 5; ++j) {
            equal += onnxroot::Model(argv[1], argv[2]).Serialize() == right;
            try {
               onnxroot::Model("absent.root", "m");
            } catch (const onnxroot::Error &) {
               ++refused;
            }
         }
      });
   for (auto &thread : threads)
      thread.join();
   std::cout << equal << " equal, " << refused << " refused\n";
}
