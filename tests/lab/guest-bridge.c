// SPDX-License-Identifier: Apache-2.0
// What a guest of the lab runs: joins its kernel's routing netlink and a shell with the port of a virtio console, so that tests outside
// use both as if they were inside. A frame is a little-endian length, a letter, and so many bytes:
//   N netlink messages for the kernel        n what the kernel answered
//   X a command for sh(1)                    x what it wrote, then its status as a decimal number behind the last newline
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static char buffer[1 << 20];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void whole(int fd, char *bytes, size_t size, int out)
{
	while (size > 0) {
		ssize_t done = out ? write(fd, bytes, size) : read(fd, bytes, size);

		if (done <= 0)
			die(out ? "write to the port" : "read from the port");
		bytes += done;
		size -= (size_t)done;
	}
}

static void answer(int port, char letter, char *bytes, uint32_t size)
{
	char head[5];

	memcpy(head, &size, 4);
	head[4] = letter;
	whole(port, head, sizeof head, 1);
	whole(port, bytes, size, 1);
}

static void command(int port, char *text)
{
	size_t got, all = 0;
	int status;
	FILE *pipe;

	fflush(stdout);
	setenv("COMMAND", text, 1);
	pipe = popen("eval \"$COMMAND\" 2>&1", "r");
	if (!pipe)
		die("popen");
	while ((got = fread(buffer + all, 1, sizeof buffer - 64 - all, pipe)) > 0)
		all += got;
	status = pclose(pipe);
	all += (size_t)sprintf(buffer + all, "\n%d", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	answer(port, 'x', buffer, (uint32_t)all);
}

int main(int argc, char **argv)
{
	int port = open(argc > 1 ? argv[1] : "/dev/vport0p1", O_RDWR);
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), on = 1, room = 8 << 20;

	if (port < 0 || netlink < 0)
		die("open");
	setsockopt(netlink, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
	setsockopt(netlink, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
	setsockopt(netlink, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	answer(port, 'x', "ready\n0", 7);
	for (;;) {
		struct pollfd ready[2] = { { port, POLLIN, 0 }, { netlink, POLLIN, 0 } };

		if (poll(ready, 2, -1) < 0)
			die("poll");
		if (ready[1].revents) {
			ssize_t size = recv(netlink, buffer, sizeof buffer, 0);

			if (size < 0)
				die("netlink");
			answer(port, 'n', buffer, (uint32_t)size);
		} else if (ready[0].revents & POLLIN) {
			char head[5];
			uint32_t size;

			whole(port, head, sizeof head, 0);
			memcpy(&size, head, 4);
			if (size >= sizeof buffer)
				die("a frame that is too long");
			whole(port, buffer, size, 0);
			buffer[size] = 0;
			if (head[4] == 'N' && send(netlink, buffer, size, 0) != (ssize_t)size)
				die("send to netlink");
			if (head[4] == 'X')
				command(port, strdup(buffer));
		} else if (ready[0].revents) {
			return 0;
		}
	}
}
