import { mount } from '@vue/test-utils'
import { createPinia } from 'pinia'
import { expect, it, vi } from 'vitest'
import { ref } from 'vue'
import type { SharePath } from '@harddrive-party/protocol'
import EntryTree from '../src/entries/EntryTree.vue'
import type { EntrySource, ListOrder } from '../src/entries/entry-source.ts'
import { memoryInRam } from '../src/state/memory.ts'

const PAGES = 30

/** A folder whose pages come one after the other, and what was asked. */
function show(pages: number) {
  const asked: { path: string | undefined; sort: string | undefined }[] = []
  const order = ref<ListOrder>({ sort: null, reverse: false })
  const source: EntrySource = {
    peerId: null, memory: memoryInRam(), isLive: () => true, order: () => order.value,
    api: {
      list: async ({ path, cursor = '0', sort }) => {
        asked.push({ path, sort })
        if (path === undefined) return { entries: [{ path: 'Long' as SharePath, size: 1, mtime: 0, isDirectory: true }] }
        // As answers do, they come after whatever else there is to do.
        await new Promise((resolve) => setTimeout(resolve))
        const at = Number(cursor)
        const entries = Array.from({ length: 500 }, (_, index) => ({ path: `${path}/${at * 500 + index}` as SharePath, size: 1, mtime: 0, isDirectory: false }))
        return at + 1 < pages ? { entries, cursor: `${at + 1}` } : { entries }
      },
    },
  }
  const view = mount(EntryTree, { props: { source, label: 'Folders', own: true, live: true, stateOf: () => null }, attachTo: document.body, global: { plugins: [createPinia()] } })
  return { view, asked, order }
}

it('asks only for what is near, until the end is wanted', async () => {
  const { view, asked } = show(PAGES)
  await vi.waitFor(() => expect(view.find('[role=treeitem]').exists()).toBe(true))
  await view.find('[role=treeitem]').trigger('click')
  await vi.waitFor(() => expect(view.text()).toContain('500 entries so far'))
  expect(asked).toHaveLength(2)
  await view.find('[role=tree]').trigger('keydown', { key: 'End' })
  await vi.waitFor(() => expect(view.find('[role=status]').text()).toBe('15,000 entries loaded'))
  expect(asked).toHaveLength(1 + PAGES)
  expect(view.find('[role=tree]').attributes('aria-activedescendant')).toMatch(/-15000$/)
  view.unmount()
})

it('stops loading when told, and when it is gone', async () => {
  const { view, asked } = show(1_000_000)
  await vi.waitFor(() => expect(view.find('[role=treeitem]').exists()).toBe(true))
  await view.find('[role=treeitem]').trigger('click')
  await vi.waitFor(() => expect(view.find('.tree-run button').exists()).toBe(true))
  await view.find('.tree-run button').trigger('click')
  await vi.waitFor(() => expect(asked.length).toBeGreaterThan(5))
  await view.find('[role=tree]').trigger('keydown', { key: 'Escape' })
  expect(view.find('.tree-run button').attributes('aria-label')).toContain('Load the rest of')
  view.unmount()
})

it('keeps folders open when the order changes', async () => {
  const { view, asked, order } = show(1)
  await vi.waitFor(() => expect(view.find('[role=treeitem]').exists()).toBe(true))
  await view.find('[role=treeitem]').trigger('click')
  await vi.waitFor(() => expect(view.findAll('[role=treeitem]').length).toBeGreaterThan(1))
  order.value = { sort: 'size', reverse: true }
  await vi.waitFor(() => expect(asked.filter(({ sort }) => sort === 'size').map(({ path }) => path)).toEqual([undefined, 'Long']))
  await vi.waitFor(() => expect(view.find('[role=treeitem]').attributes('aria-expanded')).toBe('true'))
  view.unmount()
})
