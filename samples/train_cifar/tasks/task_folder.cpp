#include "train_cifar/tasks/task_folder.h"

#include "common/exit_code.h"
#include "train_cifar/config.h"
#include "train_cifar/introduction.h"

using namespace gpucnn;

TaskFolder::TaskFolder(const Options& options) : options_(options) {
  if (!options.out.empty()) folder_.emplace(options.out, options.overwrite ? UsedFolder::overwrite : UsedFolder::refuse);
}

void TaskFolder::introduce(const Setup& setup, const std::string& fresh) const {
  for (const std::string& line : introduction(options_, setup)) say(line);
  if (!fresh.empty()) say(fresh);
}

void TaskFolder::say(const std::string& line) const {
  if (!options_.quiet) print(printable(line) + '\n');
}

void TaskFolder::save(const Setup& setup, const RunReport& report) {
  folder_->begin({config_of(options_, setup.data, setup.device), identity_of(options_, setup.data),
                  metadata_of(options_, setup.data), setup.data.judged_name()});
  folder_->save_report(report.html());
  say("report in " + folder_->path().string());
}

void TaskFolder::finish(const std::string& line) const { print(printable(line) + '\n'); }
