/**
 * The function of functions/dispatch.ts. Lambda tells of an error that has several only its text, in which a judge does not see whose they
 * are: what is not ours, or a setting that is wrong, stands for all of them.
 */
import { handler as dispatch } from '../../functions/dispatch.ts'
import { worstOf } from './worst-error.ts'

export const handler: typeof dispatch = async (event, context) =>
  await dispatch(event, context).catch((error: unknown) => {
    throw worstOf(error)
  })
