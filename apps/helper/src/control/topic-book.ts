/** Keeps who was met in which topic, for UIs. Which topics we are in is a setting; meeting happens in the network process. */
import type { PeerId } from '@harddrive-party/protocol'
import type { ControlChange } from '@harddrive-party/protocol/control'
import type { TopicBook } from './services.ts'

export function createTopicBook(options: { topics: () => readonly string[]; onChange: (change: ControlChange) => void }): TopicBook {
  let members: ReadonlyMap<string, readonly PeerId[]> = new Map()
  const infos = () => options.topics().map((topic) => ({ topic, members: members.get(topic) ?? [] }))
  const tell = () => options.onChange({ type: 'topics', topics: infos() })
  return {
    infos,
    refresh: tell,
    onNetworkEvent: (event) => {
      if (event.type !== 'topics') return
      members = new Map(event.topics.map((topic) => [topic.topic, topic.members]))
      tell()
    },
    onNetworkDown: () => {
      members = new Map()
      tell()
    },
  }
}
