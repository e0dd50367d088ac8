#pragma once

/// From now on SIGINT, SIGTERM and SIGHUP ask the program to end when it can; a second one of them ends it at once,
/// but for a SIGHUP right behind the first. Whoever starts
/// a program that ignores one of them, as nohup does or a shell behind `&`, means it.
void handle_stop_signals();

/// The signal that came, or 0.
int stop_signal() noexcept;
