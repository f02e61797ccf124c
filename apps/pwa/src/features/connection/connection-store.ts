import { defineStore } from 'pinia'
import { ref, shallowRef } from 'vue'
import type { DoctorReport } from '@harddrive-party/protocol/control'
import { useHelper } from '../../state/helper-store.ts'
import { explain } from '../../words.ts'

/** The helper's last report about connections. It is asked for; nothing of it comes by itself. */
export const useConnection = defineStore('connection', () => {
  const helper = useHelper()
  const status = ref<'idle' | 'loading' | 'ready' | 'failed'>('idle')
  const problem = ref('')
  const report = shallowRef<DoctorReport | null>(null)
  const loadedAt = ref<number | null>(null)
  let again = false

  /** Asked for while an answer is on its way, it is asked once more afterwards: that answer may be older than the wish. */
  async function load(): Promise<void> {
    if (status.value === 'loading') {
      again = true
      return
    }
    status.value = 'loading'
    do {
      again = false
      try {
        report.value = await helper.api.doctor()
        loadedAt.value = Date.now()
        problem.value = ''
      } catch (error) {
        problem.value = explain(error)
      }
    } while (again)
    status.value = problem.value === '' ? 'ready' : 'failed'
  }

  return { status, problem, report, loadedAt, load }
})
