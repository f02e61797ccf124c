// Starts the program it is given as a child with an IPC channel, tells its pid, and waits to be killed.
import { fork } from 'node:child_process'

const child = fork(process.argv[2], [], { stdio: ['ignore', 2, 2, 'ipc'], serialization: 'advanced' })
child.send({ kind: 'config', config: { udpPort: 1 } })
child.once('message', () => process.send(child.pid))
