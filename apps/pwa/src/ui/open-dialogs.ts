import { onBeforeUnmount, onMounted, shallowReactive, type Ref } from 'vue'

/** Which modal dialogs are open, the one on top last. Beside it everything is inert and below it: what must be seen and used meanwhile moves into it. */
export const openDialogs = shallowReactive<HTMLDialogElement[]>([])

/** Shows a dialog as long as its component is there. */
export function useModal(element: Ref<HTMLDialogElement | undefined>): void {
  let shown: HTMLDialogElement | undefined
  onMounted(() => {
    shown = element.value
    if (shown === undefined) return
    shown.showModal()
    openDialogs.push(shown)
  })
  onBeforeUnmount(() => {
    if (shown === undefined) return
    openDialogs.splice(openDialogs.indexOf(shown), 1)
    // Only a dialog that is closed, not merely removed, gives the focus back.
    shown.close()
  })
}
